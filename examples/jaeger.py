"""Jaeger: spans of a call that fails over and races, sent by OTLP/HTTP to where OpenTelemetry's variables say."""

import asyncio
import os

from loopback import post, providers, says
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from routeware import Attempt, Link, RoutingPolicy, routed

price = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10}
models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-6", "mistral": "mistral-large-2411"}
links = [Link(provider=provider, model=model, price=price) for provider, model in models.items()]


@routed(RoutingPolicy(chain=links, latency={"race_after_ms": 300}))
async def ask(attempt: Attempt, prompt: str) -> None:
    attempt.report(await post(attempt.provider, model=attempt.model, prompt=prompt))


async def main() -> None:
    if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
        print("Set OTEL_EXPORTER_OTLP_ENDPOINT to where Jaeger takes spans: http://localhost:4318")
        return
    sdk = TracerProvider()  # its service is OTEL_SERVICE_NAME
    sdk.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(sdk)
    async with providers(openai=says(status=429), anthropic=says("Late.", after_ms=9_000), mistral=says("Rayleigh.")):
        outcome = await ask.outcome("Why is the sky blue?")
    await asyncio.to_thread(sdk.shutdown)
    print(outcome.record.trace_id)


asyncio.run(main())
# prints:
# Set OTEL_EXPORTER_OTLP_ENDPOINT to where Jaeger takes spans: http://localhost:4318
