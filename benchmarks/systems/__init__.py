"""Every system of the field, trained on real volumes and judged in one table: `make systems`."""
