"""How often planted faults in real libraries are convicted and healed, and by wrong patches."""
