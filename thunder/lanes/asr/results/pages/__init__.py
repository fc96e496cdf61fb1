"""Pages for people: one HTML file each, without network, made from what a run wrote."""
