"""The files of conf/ for Hydra, read as all YAML: Hydra's own reader has no bounds."""

import os
from pathlib import Path
from typing import Any


def register() -> None:
    """Let Hydra read YAML files as `yaml_file` does; to do it again changes nothing."""
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins

    Plugins.instance()  # which registers Hydra's own, and would refuse ours after it
    SourcesRegistry.instance().types["file"] = _source()


def _source() -> Any:
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra.plugins.config_source import ConfigResult, ConfigSource
    from omegaconf import OmegaConf

    from thunder.config import yaml_file

    class YamlFiles(FileConfigSource):  # type: ignore[misc]  # hydra has no types
        """A folder of conf/."""

        def load_config(self, config_path: str) -> ConfigResult:
            """Read one option."""
            path = Path(os.path.join(self.path, self._normalize_file_name(config_path)))
            value, source = yaml_file.read_with_source(path)
            header = ConfigSource._get_header_dict(source)
            return ConfigResult(self.provider, self.full_path(), OmegaConf.create(value), header)

    return YamlFiles
