"""Pages and drawings for people: the report of an execution, and the state machine as Mermaid and as SVG."""
