// The configuration file as it is now, and its JSON Schema.
import type { ConfigReport } from "../../../api/contract/config.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "./app.ts";
import { type Loaded, useLoaded } from "./use-loaded.ts";

/** Reads the file at first, and again whenever it may have changed. */
export function useConfigFile(app: App): Loaded<ConfigReport> {
  const version = useStore(app.store, (state) => state.configVersion);
  return useLoaded((signal) => app.requests.call("config", null, { signal }), version);
}

export function useConfigSchema(app: App): Loaded<unknown> {
  return useLoaded((signal) => app.requests.configSchema(signal), "");
}
