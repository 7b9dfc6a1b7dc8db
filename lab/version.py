"""The version of the lab: in `lab --version`, in every run's manifest, and in the package."""

VERSION = "0.2.0"
