// Looks up names in the configuration file for completion. The look-ups print nothing and ask no daemon.
import { findHomeContext, locateConfig } from "../../config/home-context.ts";
import { readConfigIfPresent } from "../../config/read/config-bytes.ts";
import { parseToml } from "../../config/read/toml-text.ts";
import { type JsonMembers, objectOf } from "../../runtime/text/json-object.ts";
import type { CommandContext, LiveKind } from "../input/command.ts";
import type { Candidate } from "./completion-request.ts";

export async function liveNames(
  kind: LiveKind,
  context: Pick<CommandContext, "home" | "configPath">,
): Promise<readonly Candidate[]> {
  const table = await configTable(context);
  const shares = named(table["shares"], "share");
  const backends = Object.keys(objectOf(table["backends"])).map((value) => ({
    value,
    description: "server",
  }));
  switch (kind) {
    case "shares":
      return shares;
    case "aliases":
      return named(table["aliases"], "alias");
    case "backends":
      return backends;
    case "shares-and-backends":
      return [...shares, ...backends];
  }
}

function named(list: unknown, description: string): Candidate[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const { name } = objectOf(entry) as { name?: unknown };
    return typeof name === "string" ? [{ value: name, description }] : [];
  });
}

/** The configuration as plain data, even with errors; {} if the file cannot be read. */
async function configTable({
  home,
  configPath,
}: Pick<CommandContext, "home" | "configPath">): Promise<JsonMembers> {
  try {
    const { path, format } = await locateConfig(
      findHomeContext({ ...process.env, MOUNTAINEER_HOME: home }),
      configPath,
    );
    const text = Buffer.from((await readConfigIfPresent(path)) ?? "").toString("utf8");
    if (format === "toml") return objectOf(parseToml(text).value);
    const { parseYaml } = await import("../../config/read/yaml-text.ts");
    return objectOf((await parseYaml(text)).value);
  } catch (error) {
    if (error instanceof Error) return {};
    throw error;
  }
}
