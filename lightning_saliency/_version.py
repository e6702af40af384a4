"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lightning-saliency")
except PackageNotFoundError:  # sources on the path that are not installed
    __version__ = "0+unknown"
