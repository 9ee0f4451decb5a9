"""Names that OpenTelemetry spells in its own way."""

from __future__ import annotations

__all__ = ["otel_provider_name"]

_OTEL_PROVIDERS = {
    "amazon": "aws.bedrock",
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "grok": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def otel_provider_name(provider: str) -> str:
    """A provider's name as OpenTelemetry spells it; unknown ones as they are."""
    return _OTEL_PROVIDERS.get(provider.lower().replace("-", "_").replace(" ", "_"), provider)
