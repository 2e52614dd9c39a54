"""dm-gateway: bridges in-app direct-message voice calls to SIP telephony."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dm-gateway")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+unknown"
