"""For all tests: hypothesis measures no time, as a busy machine is no mistake; Ctrl-C is heard by what they start."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("fusionbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fusionbench")

# A shell that starts tests in the background has them ignore SIGINT, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
