"""What a field is: reading, scale, masks, overlays, provenance."""
