// The configuration that `init` writes: blocks for shares and backends, and found shares as comments. Pure.
import type { FoundShare } from "../../api/setup/found-share.ts";
import type { ConfigTable } from "../../config/edit/edit-value.ts";
import type { TypedConnection } from "../../config/edit/new-backend.ts";
import { shareNameOf, shareTable, type WantedShare } from "../../config/edit/new-share.ts";
import { tomlKey, tomlLines } from "../../config/edit/toml-value.ts";
import { freeSecretName } from "../../config/secret-names.ts";

export interface WantedBackend {
  readonly name: string;
  readonly connection: TypedConnection;
}

/**
 * Enables file watching in a new configuration; existing ones keep the defaults, which work on every file
 * system.
 */
export const SYNC_BLOCK = [
  "# The system tells of a save, which then applies in a fifth of a second instead of two.",
  "[sync]",
  ...tomlLines({ detection: "inotify", debounce: 0.1 }),
].join("\n");

/** `reference`: the address of the configuration reference. */
export function openingText(reference: string): string {
  return [
    "#:schema ./config.schema.json",
    "# Mountaineer's configuration. What you save here applies at once; a mistake changes nothing and is reported.",
    `# Every option, with its default: ${reference}`,
    "",
    SYNC_BLOCK,
    "",
  ].join("\n");
}

/** Commented examples for a file without shares and backends. */
export const EXAMPLES = `#[[shares]]
#name = "CORE"
#fallback_host = "nas.local"
#username = "ann"
#password = "secret:core"

#[backends.files]
#command = "npx"
#args = ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"]`;

export function backendTable({ connection }: WantedBackend): ConfigTable {
  if ("url" in connection) return { url: connection.url };
  const { command, args } = connection;
  return { command, ...(args.length === 0 ? {} : { args }) };
}

export function shareBlock(share: WantedShare): string {
  return ["[[shares]]", ...tomlLines(shareTable(share))].join("\n");
}

export function backendBlock(backend: WantedBackend): string {
  return [`[backends.${tomlKey(backend.name)}]`, ...tomlLines(backendTable(backend))].join("\n");
}

function foundBlock(found: FoundShare): string {
  const table: ConfigTable = {
    name: shareNameOf(found),
    fallback_host: found.host,
    ...(found.user === null ? {} : { username: found.user }),
    ...(shareNameOf(found) === found.share ? {} : { share_name: found.share }),
    password: `secret:${freeSecretName(shareNameOf(found))}`,
  };
  const lines = ["[[shares]]", ...tomlLines(table)].map((line) => `#${line}`);
  return [
    `# Found: //${oneLine(found.host)}/${oneLine(found.share)} at ${oneLine(found.path)}`,
    ...lines,
  ].join("\n");
}

export function foundBlocks(text: string, found: readonly FoundShare[]): string[] {
  return found.map(foundBlock).filter((block) => !text.includes(block));
}

export function withBlocks(text: string, blocks: readonly string[]): string {
  if (blocks.length === 0) return text;
  const before = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${before}\n${blocks.join("\n\n")}\n`;
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
