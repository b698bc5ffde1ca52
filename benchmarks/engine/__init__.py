"""What the engine costs per beat, beside what a user might pick instead."""
