// The rules that clients write in special forms: Gemini CLI's policies, Zed's tool permissions and opencode's permissions,
// each as a list of which the first rule that fits decides.
import { isObject, type JsonMembers, objectOf } from "../runtime/text/json-object.ts";

/** A text of a client's file that names a tool of a server, or the server. */
export interface ClientRule {
  readonly file: string;
  readonly written: string;
  /** A tool's name or pattern; `*`: the whole server. */
  readonly tool: string;
  /** `other`: it has no meaning here, or applies to one agent. */
  readonly effect: "deny" | "ask" | "allow" | "other";
  /** The keys of what a call must also fulfil, which a filter cannot ask; null: nothing. */
  readonly condition: string | null;
}

export interface RulesFile {
  readonly path: string;
  readonly values: unknown;
  readonly isOfAgent: boolean;
  readonly from: "administrator" | "user" | "project";
}

export type RuleDialect = keyof typeof DIALECTS;

type Dialect = (files: readonly RulesFile[], server: string) => readonly ClientRule[];

const DIALECTS = { gemini: geminiRules, zed: zedRules, opencode: opencodeRules } satisfies Record<
  string,
  Dialect
>;

/** The rules about a server in the client's own form, the one that decides first. */
export function rulesIn(
  dialect: RuleDialect,
  files: readonly RulesFile[],
  server: string,
): readonly ClientRule[] {
  return DIALECTS[dialect](files, server);
}

const DECISIONS: Readonly<Record<string, ClientRule["effect"]>> = {
  ...{ deny: "deny", allow: "allow", true: "allow", ["ask"]: "ask", confirm: "ask", ["ask_user"]: "ask" },
};
/** The members of a policy besides its conditions. */
const UNCONDITIONAL = /^(?:toolName|mcpName|decision|priority|denyMessage|allowRedirection)$/;
const NEVER_MCP = ["commandPrefix", "commandRegex"];
/** What an administrator says comes before the user's rules, and those before a project's. */
const TIERS = { administrator: 0, user: 1, project: 2 } as const;

function geminiRules(files: readonly RulesFile[], server: string): readonly ClientRule[] {
  const rules = files.flatMap(({ path: file, values, from }) => {
    const { rule } = objectOf(values);
    return (Array.isArray(rule) ? rule : []).map(objectOf).flatMap((policy) => {
      const effect = DECISIONS[String(policy["decision"])];
      if (effect === undefined || NEVER_MCP.some((key) => key in policy)) return [];
      const keys = Object.keys(policy).filter((key) => !UNCONDITIONAL.test(key));
      const condition = keys.length === 0 ? null : keys.join(", ");
      const rank = [TIERS[from], -Number(policy["priority"] ?? 0), effect === "deny" ? 0 : 1];
      return toolsOf(policy, server).map(({ tool, written }) => ({
        rank,
        rule: { file, written, tool, effect, condition },
      }));
    });
  });
  return rules.sort((one, other) => compared(one.rank, other.rank)).map(({ rule }) => rule);
}

function compared(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at === -1 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}

/** The tools of the server that a policy means: `*` for all. */
function toolsOf({ toolName, mcpName }: JsonMembers, server: string) {
  const isOfServer = typeof mcpName === "string" && [server, "*"].includes(mcpName);
  if (mcpName !== undefined && !isOfServer) return [];
  const names = toolName === undefined ? ["*"] : [toolName].flat().map(String);
  const plain = server.replace(/[^\w.:-]/g, "_");
  const before = ["mcp_*_", ...[server, plain].flatMap((name) => [`mcp_${name}_`, `${name}__`])];
  return names.flatMap((name) => {
    const own = before.find((start) => name.startsWith(start));
    if (own !== undefined) return [{ tool: name.slice(own.length), written: name }];
    if (isOfServer) return [{ tool: name, written: `${String(mcpName)}: ${name}` }];
    return name === "*" || name === "mcp_*" ? [{ tool: "*", written: name }] : [];
  });
}

function zedRules(files: readonly RulesFile[], server: string): readonly ClientRule[] {
  return files.flatMap(({ path: file, values }) => {
    const permissions = objectOf(objectOf(objectOf(values)["agent"])["tool_permissions"]);
    const before = `mcp:${server}:`;
    const rule = (written: string, tool: string, decision: unknown, condition: string | null) => {
      const effect = DECISIONS[String(decision)];
      return effect === undefined ? [] : [{ file, written, tool, effect, condition }];
    };
    const named = Object.entries(objectOf(permissions["tools"])).flatMap(([key, value]) => {
      if (!key.startsWith(before) || !isObject(value)) return [];
      const tool = key.slice(before.length);
      const { default: usual, always_deny: patterns } = value;
      const isPatterned = Array.isArray(patterns) && patterns.length > 0;
      return [
        ...(isPatterned ? rule(key, tool, "deny", "always_deny") : []),
        ...rule(key, tool, usual, null),
      ];
    });
    return [...named, ...rule("default", "*", permissions["default"], null)];
  });
}

/** The last rule that fits decides there; its older `tools` come before all permissions. */
function opencodeRules(files: readonly RulesFile[], server: string): readonly ClientRule[] {
  const before = `${server.replace(/[^\w-]/g, "_")}_`;
  const settings = files.filter(({ isOfAgent }) => !isOfAgent).toReversed();
  const rules = ["tools", "permission"].flatMap((key) =>
    settings.flatMap(({ path: file, values }) => {
      const given = objectOf(values)[key];
      const table = typeof given === "string" ? { "*": given } : objectOf(given);
      return Object.entries(table).flatMap(([written, value]) => {
        // Within a tool, a rule for some inputs never fits those of a server.
        const decision = isObject(value) ? value["*"] : value;
        const effect = decision === false ? "deny" : (DECISIONS[String(decision)] ?? "other");
        const tools = restsOf(written, before);
        return tools.map((tool): ClientRule => ({ file, written, tool, effect, condition: null }));
      });
    }),
  );
  return rules.toReversed();
}

/** What a pattern, with `*` and `?`, leaves for the text after a beginning; none: it does not fit that. */
function restsOf(pattern: string, beginning: string): readonly string[] {
  // A `*` may also stand for nothing.
  const afterStars = (positions: readonly number[]): readonly number[] => {
    const all = new Set(positions);
    for (const at of all) if (pattern[at] === "*") all.add(at + 1);
    return [...all];
  };
  let positions = afterStars([0]);
  for (const character of beginning)
    positions = afterStars(
      positions.flatMap((at) => {
        if (pattern[at] === "*") return [at];
        return pattern[at] === character || pattern[at] === "?" ? [at + 1] : [];
      }),
    );
  const isBehindStar = (at: number) => pattern[at - 1] === "*" && positions.includes(at - 1);
  return positions.flatMap((at) => (at === pattern.length || isBehindStar(at) ? [] : [pattern.slice(at)]));
}
