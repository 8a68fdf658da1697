"""Videos that are rendered by a job on a Ray cluster: submitted, watched, stopped, fetched."""
