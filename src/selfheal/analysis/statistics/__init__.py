"""Statistical methods, each with its source; arrays in, numbers out, no telemetry inside."""
