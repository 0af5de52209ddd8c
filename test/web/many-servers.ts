// 22 servers beside the rig's own one: fifteen of the 23 work, five cannot be resolved, and three have no program.
import { resolve } from "node:path";

const TOOLS_SERVER = resolve(import.meta.dirname, "../docs/programs/tools-server.mjs");
const WELL = [
  ...["browser", "calendar", "database", "files", "git", "github", "issues", "logs", "mail", "maps"],
  ...["memory", "notes", "search", "time"],
];
const UNRESOLVED = ["billing", "crm", "deploys", "tickets", "wiki"];
const MISSING = ["figma", "jira", "slack"];

/** What each of the two causes is in every user interface. */
export const CAUSES = [
  `${UNRESOLVED.join(", ")}: cannot be reached`,
  `${MISSING.join(", ")}: cannot start`,
] as const;
export const FAILING: readonly string[] = [...UNRESOLVED, ...MISSING];
export const SERVERS: readonly string[] = ["tools", ...WELL, ...FAILING];

/** TOML behind the rig's own. */
export function manyServers(): string {
  const well = WELL.map(
    (name) => `\n[backends.${name}]\ncommand = "${process.execPath}"\nargs = ["${TOOLS_SERVER}"]\n`,
  );
  const unresolved = UNRESOLVED.map(
    (name) => `\n[backends.${name}]\ntype = "streamable-http"\nurl = "https://${name}.invalid/mcp"\n`,
  );
  const missing = MISSING.map((name) => `\n[backends.${name}]\ncommand = "no-such-program"\n`);
  return ['\n[conflict_resolution]\nstrategy = "prefix"\n', ...well, ...unresolved, ...missing].join("");
}
