// The configuration file as it is now, and its JSON Schema.
import type { ConfigReport } from "../../../api/contract.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "./app.ts";
import { type Loaded, useLoaded } from "./use-loaded.ts";

/** Reads the file at first, and again whenever it may have changed. */
export function useConfigFile(app: App): Loaded<ConfigReport> {
  const version = useStore(app.store, (state) => state.configVersion);
  return useLoaded((signal) => app.requests.ask("config", null, { signal }), version);
}

/** The element that names the schema's address, which changes with the schema's content. */
const SCHEMA_NAMED_BY = 'meta[name="config-schema"]';

/** The configuration's JSON Schema; null until it is loaded, or if that fails. */
export function useConfigSchema(): unknown {
  return useLoaded(async (signal): Promise<unknown> => {
    const path = document.querySelector<HTMLMetaElement>(SCHEMA_NAMED_BY)?.content ?? "";
    try {
      const response = await fetch(path, { signal });
      return response.ok ? await response.json() : null;
    } catch {
      // Without a schema there are no hints and no forms. The daemon checks every save.
      return null;
    }
  }, "").report;
}
