// Reads a configuration together with the fleet's layer that it overrides, and a layer by itself.
import { configFormat, type HomeContext } from "../home-context.ts";
import {
  checkTables,
  engineOf,
  type FoundInText,
  type LoadedConfig,
  parseConfig,
  placeMistakes,
  readTables,
} from "../read/load.ts";
import { deepFreeze, type MountaineerConfig } from "../snapshot.ts";
import { type ConfigMistake, type Finding, MISTAKE_LIMIT } from "../values/mistakes.ts";
import {
  type ConfigLayer,
  forbiddenFindings,
  LARGEST_LAYER_BYTES,
  layerName,
  secretFindings,
} from "./layer.ts";
import { mergeUnder } from "./merge.ts";

/**
 * Parses the file as `parseConfig` does, and merges the layer into it if `[fleet].operator` is the layer's operator;
 * values of the file win. The file must also be valid without the layer. Each mistake is reported at its place in the
 * file or the layer.
 */
export async function parseLayered(
  bytes: Uint8Array,
  path: string,
  homeContext: HomeContext,
  layer: ConfigLayer | null,
): Promise<LoadedConfig> {
  const own = await parseConfig(bytes, path, homeContext);
  if (!own.ok || layer === null || own.snapshot.config.fleet?.operator !== layer.operator) return own;
  const file = await readTables(bytes, path, configFormat(path));
  if (!file.ok) return file;
  const under = await readLayer(layer.text, layerName(layer));
  if (!under.ok) return under;
  const merged = mergeUnder(file.value, under.value);
  const checked = checkTables(merged.value, homeContext);
  if (checked.file !== null && checked.findings.length === 0) {
    const engine = engineOf(checked.file, path, homeContext);
    const isOwn = new Set(own.snapshot.config.backends.map(({ name }) => name));
    const secrets = secretFindings(
      engine.config.backends.filter(({ name }) => !isOwn.has(name)),
      merged.placeOf(["backend_defaults", "env"]).of === "layer" ? engine.config.backendDefaults : null,
    );
    if (secrets.length > 0) return refused(under, secrets);
    const brings = [...merged.sections, ...addedNames(own.snapshot.config, engine.config)];
    const config = { ...engine.config, layer: { revision: layer.revision, brings } };
    return { ok: true, snapshot: deepFreeze({ ...own.snapshot, ...engine, config }) };
  }
  const placed = checked.findings.map((finding) => ({ ...finding, ...merged.placeOf(finding.path) }));
  const of = (origin: "file" | "layer"): readonly Finding[] =>
    placed.filter((finding) => finding.of === origin);
  const mistakes = [
    ...(await placeMistakes({ ...under, findings: of("layer") })),
    ...(await placeMistakes({ path, text: file.text, parsed: file.parsed, findings: of("file") })),
  ];
  return { ok: false, mistakes: mistakes.slice(0, MISTAKE_LIMIT) };
}

/** The ids of named entries that only the layer has. */
function addedNames(own: MountaineerConfig, both: MountaineerConfig): readonly string[] {
  return (["backends", "shares", "aliases"] as const).flatMap((group) => {
    const mine = new Set(own[group].map(({ name }) => name));
    return both[group].filter(({ name }) => !mine.has(name)).map(({ name }) => `${group}.${name}`);
  });
}

/** All mistakes of a layer without a file over it; `name`: the layer's name in messages. */
export async function layerMistakes(
  text: string,
  name: string,
  homeContext: HomeContext,
): Promise<readonly ConfigMistake[]> {
  const under = await readLayer(text, name);
  if (!under.ok) return under.mistakes;
  const checked = checkTables(under.value, homeContext);
  // Drops mistakes about missing names, because each machine's own file may define them.
  const findings = checked.findings.filter(({ restsOnAbsence }) => restsOnAbsence !== true);
  const layer = checked.file === null ? null : engineOf(checked.file, name, homeContext).config;
  const secrets = layer === null ? [] : secretFindings(layer.backends, layer.backendDefaults);
  return placeMistakes({ ...under, findings: [...findings, ...secrets] });
}

type ReadLayer =
  | ({ readonly ok: true; readonly value: unknown } & Omit<FoundInText, "findings">)
  | Extract<LoadedConfig, { ok: false }>;

/** Reads the text of a layer and refuses keys that a layer must not have. */
async function readLayer(text: string, name: string): Promise<ReadLayer> {
  const bytes = Buffer.from(text);
  if (bytes.length > LARGEST_LAYER_BYTES) {
    const found = `${bytes.length} bytes`;
    const expected = `at most ${LARGEST_LAYER_BYTES} bytes`;
    return {
      ok: false,
      mistakes: [{ file: name, line: 1, column: 1, path: "", found, expected, hint: null }],
    };
  }
  const read = await readTables(bytes, name, "toml");
  if (!read.ok) return read;
  const { parsed, value } = read;
  const under = { path: name, text: read.text, parsed };
  const forbidden = forbiddenFindings(value);
  if (forbidden.length > 0 || parsed.syntax.length > 0) return refused(under, forbidden);
  return { ok: true, value, ...under };
}

async function refused(
  under: Omit<FoundInText, "findings">,
  findings: readonly Finding[],
): Promise<Extract<LoadedConfig, { ok: false }>> {
  return { ok: false, mistakes: await placeMistakes({ ...under, findings }) };
}
