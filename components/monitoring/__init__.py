"""The operations topic, the alarms, the metrics that they watch, and the dashboard."""
