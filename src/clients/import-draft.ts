// The configuration that an import would make: its text, the servers that are added to it, and those that are refused.

import { editConfig } from "../config/edit/edit.ts";
import { TOKEN_BLOCK, wantsToken } from "../config/edit/gateway-token.ts";
import { withBlocks } from "../config/edit/text-blocks.ts";
import type { HomeContext } from "../config/home-context.ts";
import { decodedText } from "../config/read/config-bytes.ts";
import { textValues } from "../config/read/file-values.ts";
import { parseConfig } from "../config/read/load.ts";
import { type ConfigFormat, type MountaineerConfig, SERVER_DEFAULT } from "../config/snapshot.ts";
import { refusalError } from "../config/values/mistakes.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { findCommand } from "../runtime/process/find-program.ts";
import { objectOf } from "../runtime/text/json-object.ts";
import { withBackends } from "./backend-block.ts";
import { type FoundFile, type PlannedBackend, planImport } from "./import-plan.ts";

/** The configuration that gets the servers. */
interface Target {
  readonly path: string;
  readonly homeContext: HomeContext;
  readonly format: ConfigFormat;
  readonly before: string;
  /** True: there is no file yet. */
  readonly isNew: boolean;
  /** The first lines of a new file. */
  readonly opening: () => string;
}

export type ImportDraft = Awaited<ReturnType<typeof draftImport>>;

/**
 * `newCommon`: variables that every program gets with the servers. Rejects with `config_…` if the configuration is invalid,
 * or if the servers would make it so.
 */
export async function draftImport(
  target: Target,
  files: readonly FoundFile[],
  newCommon: Readonly<Record<string, string>> = {},
) {
  const { path, homeContext, format, before, isNew, opening } = target;
  const standing = await parseConfig(Buffer.from(before), path, homeContext);
  if (!standing.ok) throw refusalError(standing.mistakes);
  const tables = objectOf(await textValues(before, format));
  const common = objectOf(objectOf(tables["backend_defaults"])["env"]);
  const { server } = standing.snapshot.config;
  const { own, added, twins, unsure } = planImport(
    files,
    objectOf(tables["backends"]),
    common,
    (url) => !isNew && isAddressOf(server, url),
  );
  const sound: PlannedBackend[] = [];
  const refused = [
    ...own.map((name) => ({ name, why: "it is this gateway" })),
    ...files.flatMap(({ empty }) => empty),
  ];
  for (const one of added) {
    const separate = await parseConfig(
      Buffer.from(await withBackends("", "toml", [one])),
      "import.toml",
      homeContext,
    );
    if (separate.ok) sound.push(one);
    else refused.push({ name: one.name, why: one.problem ?? whyNot(separate.mistakes[0]) });
  }
  const hasToken =
    format === "toml" &&
    sound.length > 0 &&
    wantsToken({
      requested: null,
      text: before,
      hasBackend: standing.snapshot.config.backends.length > 0,
      addsBackend: true,
    });
  const edits = Object.entries(newCommon).map(
    ([name, value]) => ({ kind: "set", keyPath: ["backend_defaults", "env", name], value }) as const,
  );
  const opened = isNew && format === "toml" ? opening() : before;
  const begun = decodedText((await editConfig({ bytes: Buffer.from(opened), format, edits })).bytes);
  const after =
    sound.length === 0
      ? before
      : await withBackends(hasToken ? withBlocks(begun, [TOKEN_BLOCK]) : begun, format, sound);
  const checked = await parseConfig(Buffer.from(after), path, homeContext);
  if (!checked.ok) throw refusalError(checked.mistakes);
  const { backends: all, conflictResolution } = checked.snapshot.config;
  return {
    path,
    files,
    added: sound,
    /** The enabled servers whose program is not found, each with the program. */
    missing: await missingPrograms(sound),
    /** The variables that every program has already. */
    common,
    /** `files`, or `files2 (as files)`. */
    present: [...new Set(twins.map(({ name, as }) => (name === as ? name : `${name} (as ${as})`)))],
    /** Names in `present` for which the client's file may have a newer secret than the stored one. */
    unsure,
    /** Servers that cannot be backends here, and why. */
    refused,
    hasToken,
    /** True if a tool gets its server's name as a prefix when two servers have a tool of that name. */
    prefixes: all.length > 1 && conflictResolution.strategy === "first-wins",
    before,
    after,
    baseSha256: sha256Of(before),
  };
}

/** Whether the gateway of this configuration answers at the address. */
function isAddressOf(server: MountaineerConfig["server"], address: string): boolean {
  const { host, port, publicUrl } = server ?? SERVER_DEFAULT;
  const url = URL.parse(address);
  if (url === null) return false;
  if (publicUrl !== null && `${url.href}/`.startsWith(`${publicUrl}/`)) return true;
  const isHere = url.hostname === host || /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  return isHere && Number(url.port || 80) === port && /^\/mcp(?:\/|$)/.test(url.pathname);
}

async function missingPrograms(
  added: readonly PlannedBackend[],
): Promise<readonly (readonly [string, string])[]> {
  const found = await Promise.all(
    added.map(async ({ name, table: { command, cwd, enabled } }) => {
      if (typeof command !== "string" || enabled === false || /^~|\$/.test(command)) return [];
      const folder = typeof cwd === "string" ? cwd : process.cwd();
      const program = await findCommand(command, folder, process.env["PATH"] ?? "");
      return program === null ? [[name, command] as const] : [];
    }),
  );
  return found.flat();
}

function whyNot(
  mistake: { readonly path: string; readonly found: string; readonly expected: string } | undefined,
): string {
  return mistake === undefined
    ? "it is not a server"
    : `${mistake.path}: found ${mistake.found}, expected ${mistake.expected}`;
}

/** The secrets that each added server waits for, if it waits for nothing else. */
export function waitingServers({
  added,
}: Pick<ImportDraft, "added">): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    added.flatMap(({ name, isWaiting, wanted }) => (isWaiting ? [[name, wanted]] : [])),
  );
}

/** What a yes would do, in one line. */
export function importSummary({ added, missing, refused, files }: ImportDraft): string {
  const enabled = added.filter(({ table }) => table["enabled"] !== false).length;
  const ofProjects = files.flatMap(({ elsewhere }) => elsewhere.flatMap(({ servers }) => servers)).length;
  const without = missing.length === 0 ? "" : `${missing.length} without its program, `;
  return `${enabled - missing.length} to run, ${without}${added.length - enabled} disabled, ${refused.length} not imported, ${ofProjects} in projects`;
}
