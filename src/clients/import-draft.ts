// The configuration that an import would make: its text, the servers that are added to it, and those that are refused.
import { TOKEN_BLOCK, wantsToken } from "../config/edit/gateway-token.ts";
import { withBlocks } from "../config/edit/text-blocks.ts";
import type { HomeContext } from "../config/home-context.ts";
import { textValues } from "../config/read/file-values.ts";
import { parseConfig } from "../config/read/load.ts";
import type { ConfigFormat } from "../config/snapshot.ts";
import { refusalError } from "../config/values/mistakes.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
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

/** Rejects with `config_…` if the configuration is invalid, or if the servers would make it so. */
export async function draftImport(target: Target, files: readonly FoundFile[]) {
  const { path, homeContext, format, before, isNew, opening } = target;
  const standing = await parseConfig(Buffer.from(before), path, homeContext);
  if (!standing.ok) throw refusalError(standing.mistakes);
  const tables = objectOf(await textValues(before, format));
  const common = objectOf(objectOf(tables["backend_defaults"])["env"]);
  const { added, present, unsure } = planImport(files, objectOf(tables["backends"]), common);
  const sound: PlannedBackend[] = [];
  const refused: { name: string; why: string }[] = [];
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
  const begun = isNew && format === "toml" ? opening() : before;
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
    present,
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
export function importSummary({ added, refused, files }: ImportDraft): string {
  const ready = added.filter(({ table }) => table["enabled"] !== false).length;
  const ofProjects = files.flatMap(({ elsewhere }) => elsewhere.flatMap(({ servers }) => servers)).length;
  return `${ready} to run, ${added.length - ready} disabled, ${refused.length} not imported, ${ofProjects} in projects`;
}
