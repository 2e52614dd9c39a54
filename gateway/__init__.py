"""dm-gateway: bridges in-app direct-message voice calls to SIP telephony."""

__version__: str


def __getattr__(name: str) -> str:
    # read when asked for: looking it up loads more than a media worker has any use for
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("dm-gateway")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0+unknown"
