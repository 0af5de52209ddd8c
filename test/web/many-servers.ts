// 22 servers and a share beside the rig's own: fifteen of the 23 servers work, eight fail for six causes.
import { mkdirSync } from "node:fs";
import { TOOLS_SERVER } from "./page-rig.ts";

const WELL = [
  ...["browser", "calendar", "database", "files", "git", "github", "issues", "logs", "mail", "maps"],
  ...["memory", "notes", "search", "time"],
];
const UNRESOLVED = ["billing", "crm"];
const MISSING = ["figma", "jira"];
const NODE = `command = "${process.execPath}"\nargs = `;
/** Each fails for a cause of its own. */
const BROKEN: Readonly<Record<string, string>> = {
  deploys: `${NODE}["-e", "process.exit(3)"]`,
  slack: `${NODE}["-e", "setInterval(() => {}, 1000)"]\ntimeouts = { init = 1 }`,
  tickets: `${NODE}["-e", "process.exit(0)"]`,
  wiki: `${NODE}["${TOOLS_SERVER}"]\nenv = { TOKEN = "secret:no-such-secret" }`,
};

/** The causes that two servers share, as in every user interface. */
export const CAUSES = [
  `${UNRESOLVED.join(", ")}: cannot be reached`,
  `${MISSING.join(", ")}: cannot start`,
] as const;
export const CAUSE_COUNT = CAUSES.length + Object.keys(BROKEN).length;
export const FAILING: readonly string[] = [...UNRESOLVED, ...MISSING, ...Object.keys(BROKEN)];
export const SERVERS: readonly string[] = ["tools", ...WELL, ...FAILING];

/** TOML behind the rig's own. `nas`: the folder with the shares' routes. */
export function manyServers(nas: string): string {
  for (const route of ["tb", "fb"]) mkdirSync(`${nas}/${route}/MEDIA`);
  const share = `\n[[shares]]\nname = "MEDIA"\ndriver = "local"\nthunderbolt_path = "${nas}/tb/MEDIA"\nfallback_path = "${nas}/fb/MEDIA"\n`;
  const well = WELL.map(
    (name) => `\n[backends.${name}]\ncommand = "${process.execPath}"\nargs = ["${TOOLS_SERVER}"]\n`,
  );
  const unresolved = UNRESOLVED.map(
    (name) => `\n[backends.${name}]\ntype = "streamable-http"\nurl = "https://${name}.invalid/mcp"\n`,
  );
  const missing = MISSING.map((name) => `\n[backends.${name}]\ncommand = "no-such-program"\n`);
  const broken = Object.entries(BROKEN).map(([name, text]) => `\n[backends.${name}]\n${text}\n`);
  return [
    share,
    '\n[conflict_resolution]\nstrategy = "prefix"\n',
    ...well,
    ...unresolved,
    ...missing,
    ...broken,
  ].join("");
}
