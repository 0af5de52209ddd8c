// `reload --dry-run` without a daemon: what a daemon would start with.

import type { ReloadReport } from "../../api/contract/config.ts";
import { isTableValue } from "../../config/edit/edit-value.ts";
import { type ConfigSource, effectiveData } from "../../config/edit/effective.ts";
import { parseConfig } from "../../config/read/load.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { pluralize, sharesAndBackends } from "../../runtime/text/plain-text.ts";
import type { ConfigView } from "../sessions/config-session.ts";

/** The bytes of a file that leaves all `SETTINGS` at their defaults, to compare with. */
const DEFAULTS = Buffer.from("[server]\n");

/** Sections whose settings the report compares one by one. Of other sections the report has only the names. */
const SETTINGS: readonly string[] = ["global", "sync", "server"];

/**
 * Makes the report of a reload from an empty configuration. It lists all shares and backends as added, and each
 * setting that differs from its default as changed.
 */
export async function firstStart({ path, homeContext, format, read }: ConfigView): Promise<ReloadReport> {
  const bytes = (await read()) ?? new Uint8Array();
  const loaded = await parseConfig(bytes, path, homeContext);
  const none = { added: [], removed: [], changed: [] };
  const report: ReloadReport = {
    reloaded: false,
    dry_run: true,
    generation: 0,
    sha256: sha256Of(bytes),
    settings: [],
    shares: none,
    backends: none,
    middleware: [],
    errors: [],
    failure: null,
    summary: "",
  };
  if (!loaded.ok) {
    const errors = loaded.mistakes.map((mistake) => ({ ...mistake }));
    return { ...report, errors, summary: "the file has errors" };
  }
  const settings = await settingsOf({ bytes, format, homeContext });
  const defaults = await settingsOf({ bytes: DEFAULTS, format: "toml", homeContext });
  const changed = [...settings].filter(([key, value]) => defaults.get(key) !== value).map(([key]) => key);
  const { config } = loaded.snapshot;
  const shares = config.shares.map(({ name }) => name);
  const backends = config.backends.map(({ name }) => name);
  const middleware = [
    ...(config.incomingAuth.type === "anonymous" ? [] : ["incoming_auth"]),
    ...(config.authorization === null ? [] : ["authorization"]),
    ...(config.audit === null ? [] : ["audit"]),
    ...(config.telemetry === null ? [] : ["telemetry"]),
  ];
  return {
    ...report,
    settings: changed,
    shares: { ...none, added: shares },
    backends: { ...none, added: backends },
    middleware,
    summary: summaryOf(shares.length, backends.length),
  };
}

function summaryOf(shares: number, backends: number): string {
  return `${sharesAndBackends(shares, backends) ?? pluralize(0, "share")} to start`;
}

async function settingsOf(source: ConfigSource): Promise<Map<string, string>> {
  const data = await effectiveData(source);
  const entries = Object.entries(data).flatMap(([section, table]) =>
    SETTINGS.includes(section) && isTableValue(table)
      ? Object.entries(table).map(([key, value]) => [`${section}.${key}`, String(value)] as const)
      : [],
  );
  return new Map(entries);
}
