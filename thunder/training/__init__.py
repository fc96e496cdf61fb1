"""What every lane that trains needs: windows, progress, ranks and their watch."""
