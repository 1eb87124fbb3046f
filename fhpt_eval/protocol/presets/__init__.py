"""The protocols that are shipped: one TOML file each."""
