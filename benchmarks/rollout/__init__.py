"""How rollouts are judged: simulated ones by three judges, and live ones on a fleet."""
