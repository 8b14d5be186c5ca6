//! Plans, readings and events as text and JSON. Computes nothing.
