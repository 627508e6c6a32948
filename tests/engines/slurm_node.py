"""A SLURM cluster of one node on this machine: slurmctld, slurmd and munged from Debian, as whoever runs the tests.

No systemd, no accounting, no cgroups. The node claims eight cores, whatever there are: what is tested is SLURM's part.
As a program it starts the cluster and prints what to export: `eval "$(python tests/engines/slurm_node.py DIR)"`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
SETTINGS = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,requeue_delay=0
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=long Nodes=ALL MaxTime=600 State=UP
"""


def missing() -> str:
    """The first program that is not here; empty if all are."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return next((name for name in NEEDED if shutil.which(name) is None), "")


class SlurmNode:
    """The cluster, from `start` to `stop`; SLURM_CONF says where it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, folder / "slurm.conf"

    def start(self) -> None:
        """All three services, and wait for the node."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(parents=True, mode=0o700)
        host, munge = socket.gethostname().partition(".")[0], self.folder / "munge"
        ports = {"port": free_port(), "node_port": free_port()}
        self.settings.write_text(SETTINGS.format(host=host, user=getpass.getuser(), folder=self.folder, **ports))
        key = munge / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        places = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid", "log-file": munge / "log"}
        places["seed-file"] = munge / "seed"
        run("munged", "--force", *(f"--{name}={place}" for name, place in places.items()))
        os.environ["SLURM_CONF"] = str(self.settings)
        run("slurmctld", "-f", str(self.settings))
        run("slurmd", "-f", str(self.settings), "-N", host)
        end = time.monotonic() + 300
        while "idle" not in run("sinfo", "--noheader", "--format=%T", wait=True):
            if time.monotonic() > end:
                raise TimeoutError((self.folder / "slurmctld.log").read_text())
            time.sleep(0.2)

    def stop(self) -> None:
        """All jobs, then all three."""
        run("scancel", f"--user={getpass.getuser()}", wait=True)
        end = time.monotonic() + 60
        while run("squeue", "--noheader", wait=True).strip() and time.monotonic() < end:
            time.sleep(0.2)
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            with suppress(OSError, ValueError):
                end_service(int((self.folder / name).read_text()))
        os.environ.pop("SLURM_CONF", None)


def run(*command: str, wait: bool = False) -> str:
    """Its output; a service goes into the background by itself. With `wait` a failure is none, yet."""
    done = subprocess.run(command, check=not wait, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return done.stdout


def begin_now(job: str) -> None:
    """SLURM lets a job that was requeued wait for two minutes; not here. One that has come to its end stays there."""
    while (state := run("squeue", "--noheader", f"--jobs={job}", "--format=%T %r", wait=True).split())[:1] != [
        "PENDING"
    ]:
        if not state:
            return
        time.sleep(0.2)
    run("scontrol", "update", f"JobId={job}", "StartTime=now")


def end_service(pid: int) -> None:
    """SIGTERM, and SIGKILL where that does nothing: slurmd waits for a job that does not end."""
    for sent, patience_s in ((signal.SIGTERM, 60), (signal.SIGKILL, 5)):
        end = time.monotonic() + patience_s
        if is_alive(pid):
            os.kill(pid, sent)
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait for somebody to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(f"no {lacking} here: apt-get install slurmctld slurmd slurm-client munge")
    SlurmNode(Path(sys.argv[1]).absolute()).start()
    print(f"export SLURM_CONF={Path(sys.argv[1]).absolute()}/slurm.conf")  # noqa: T201
