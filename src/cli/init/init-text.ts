// The configuration that `init` writes: blocks for shares and backends, and found shares as comments. Pure.

import type { ConfigTable } from "../../config/edit/edit-value.ts";
import type { TypedConnection } from "../../config/edit/new-backend.ts";
import {
  freeNasName,
  newNas,
  type ShareInput,
  shareNameOf,
  shareTable,
} from "../../config/edit/new-share.ts";
import { tomlKey, tomlLines } from "../../config/edit/toml-value.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import type { FoundShare } from "../../config/values/found-share.ts";

export interface WantedBackend {
  readonly name: string;
  readonly connection: TypedConnection;
}

/**
 * Enables file watching in a new configuration; existing ones keep the defaults, which work on every file
 * system.
 */
export const SYNC_BLOCK = [
  "# The system reports each save: it applies within 0.2 s, instead of 2.",
  "[sync]",
  ...tomlLines({ detection: "inotify", debounce: 0.1 }),
].join("\n");

/** `reference`: the address of the configuration reference. */
export function openingText(reference: string): string {
  return [
    "#:schema ./config.schema.json",
    "# Mountaineer's configuration. What you save here applies at once; an error changes nothing and is reported.",
    `# Every option, with its default: ${reference}`,
    "",
    SYNC_BLOCK,
    "",
  ].join("\n");
}

/** Commented examples for a file without shares and backends. */
export const EXAMPLES = `#[nas.home]
#fallback_host = "nas.local"
#username = "ann"
#password = "secret:home"

#[[shares]]
#name = "CORE"
#nas = "home"

#[backends.files]
#command = "npx"
#args = ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"]`;

export function backendTable({ connection }: WantedBackend): ConfigTable {
  if ("url" in connection) return { url: connection.url };
  const { command, args } = connection;
  return { command, ...(args.length === 0 ? {} : { args }) };
}

/** The blocks of the shares, after those of the NAS that they bring. */
export function shareBlocks(shares: readonly ShareInput[]): string[] {
  const block = (header: string, table: ConfigTable) => [header, ...tomlLines(table)].join("\n");
  return [
    ...newNas(shares).map(([name, table]) => block(`[nas.${tomlKey(name)}]`, table)),
    ...shares.map((share) => block("[[shares]]", shareTable(share))),
  ];
}

export function backendBlock(backend: WantedBackend): string {
  return [`[backends.${tomlKey(backend.name)}]`, ...tomlLines(backendTable(backend))].join("\n");
}

/** The found shares of one server and user, as comments. */
function foundBlock(found: readonly FoundShare[], nas: string): string {
  const secret = freeSecretName(found[0] === undefined ? "" : shareNameOf(found[0]));
  const shares = found.map((one): ShareInput => {
    const name = shareNameOf(one);
    const shareName = name === one.share ? null : one.share;
    const login = { username: one.user, password: `secret:${secret}`, onlyOn: [] };
    return { name, nas, tbHost: null, fallbackHost: one.host, shareName, ...login };
  });
  const lines = shareBlocks(shares).flatMap((block) => block.split("\n"));
  return [
    ...found.map(
      ({ host, share, path }) => `# Found: //${oneLine(host)}/${oneLine(share)} at ${oneLine(path)}`,
    ),
    ...lines.map((line) => `#${line}`),
  ].join("\n");
}

export function foundBlocks(
  text: string,
  found: readonly FoundShare[],
  isTaken: (nas: string) => boolean = () => false,
): string[] {
  const names = new Set<string>();
  const servers = Map.groupBy(found, ({ host, user }) => JSON.stringify([host, user]));
  return [...servers.values()]
    .map((shares) => {
      const nas = freeNasName(shares[0]?.host ?? "", (name) => names.has(name) || isTaken(name));
      names.add(nas);
      return foundBlock(shares, nas);
    })
    .filter((block) => !text.includes(block));
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
