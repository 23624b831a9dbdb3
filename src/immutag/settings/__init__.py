"""The configuration: immutag.toml and the environment, as frozen values."""

from immutag.settings.load import FILE_NAME, find, load
from immutag.settings.model import (
    BuildSettings,
    CommandTarget,
    ContainerTarget,
    EnvironmentSettings,
    GitBranch,
    ImageSettings,
    LedgerSettings,
    MetricsSettings,
    Origin,
    ProvenanceSettings,
    RegistrySettings,
    SbomSettings,
    Settings,
    TrustSettings,
)

__all__ = [
    "FILE_NAME",
    "BuildSettings",
    "CommandTarget",
    "ContainerTarget",
    "EnvironmentSettings",
    "GitBranch",
    "ImageSettings",
    "LedgerSettings",
    "MetricsSettings",
    "Origin",
    "ProvenanceSettings",
    "RegistrySettings",
    "SbomSettings",
    "Settings",
    "TrustSettings",
    "find",
    "load",
]
