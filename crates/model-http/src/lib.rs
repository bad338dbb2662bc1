//! Models behind any OpenAI-compatible URL.
