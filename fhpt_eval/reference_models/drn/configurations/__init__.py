"""The configurations that are shipped: one TOML file each."""
