"""The ground: settings, database, telemetry. Imports nothing of ours."""
