"""A Ray cluster of two nodes on 127.0.0.1, as a program: prints its address, and loses a node when it is told to.

It goes when its standard input is closed. Nodes that are lost are noticed within seconds, not half a minute.
"""

from __future__ import annotations

import os
import sys

FAST = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


def main() -> None:
    """Start, tell where, wait."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0", RAY_AUTH_MODE="disabled")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": FAST}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1)
    sys.stdout.write(f"address {cluster.address}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        sys.stdout.write("lost\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
