"""The one protocol through which the engine sees whatever the user wrote."""
