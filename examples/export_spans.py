"""Traces: spans leave by OTLP/HTTP, as they would to any collector; a small one on loopback says what arrives."""

import asyncio

from aiohttp import web
from loopback import URLS, post, providers, says
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from routeware import Attempt, RoutingPolicy, routed


@routed(RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"]))
async def ask(attempt: Attempt, prompt: str) -> None:
    await post(attempt.provider, model=attempt.model, prompt=prompt)


async def collector(request: web.BaseRequest) -> web.Response:
    for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
        print(*(span.name for scope in resource.scope_spans for span in scope.spans), sep="\n")
    return web.Response()


async def main() -> None:
    async with providers(collector=collector, openai=says(status=429), anthropic=says("Rayleigh.")):
        sdk = TracerProvider()
        sdk.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(URLS["collector"] + "v1/traces")))
        trace.set_tracer_provider(sdk)
        await ask("Why is the sky blue?")
        await asyncio.to_thread(sdk.shutdown)


asyncio.run(main())
# prints:
# chat gpt-4o
# chat claude-sonnet-4-6
# routeware.call ask
