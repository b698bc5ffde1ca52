"""What the recorder costs the service that it records."""
