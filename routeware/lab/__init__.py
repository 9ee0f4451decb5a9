"""Reading what routeware has left in traces: exported spans back to calls, and calls drawn or told in words.

Plain reading: nothing here needs OpenTelemetry, because the traces come from elsewhere, as files or over HTTP.
"""
