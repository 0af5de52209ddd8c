// The commands `mountaineer secret ...` and `mountaineer server-token`.

import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { openSecrets } from "../in-process/open.ts";
import { type CommandContext, command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { askDaemon } from "../sessions/control-session.ts";
import { placeName, renderSecrets } from "../views/secret-view.ts";

const APPLIED_WITHIN_MS = 20_000;

const NAME_OPTION = {
  completes: "secrets",
  read: (text: string) => (SECRET_NAME.form.test(text) ? text : null),
  expected: SECRET_NAME.expected,
} as const;

const secretSetCommand = command("secret set", {
  summary: "keep a password or token, for secret:NAME in the configuration",
  description:
    "Asks for the value without showing it, or reads one line from standard input; it is never an argument. It is kept in the " +
    "system's keyring (the Secret Service on Linux, the Keychain on macOS) where one answers, else in a file of this " +
    "home that only its owner can read. A running daemon uses it at once.",
  examples: {
    "mountaineer secret set nas": "keep the password that secret:nas stands for",
    "mountaineer secret set token --in file < token.txt": "keep what a file holds, in this home",
  },
  takes: {
    "<name>": { about: "the name that secret:NAME refers to", ...NAME_OPTION },
    "--in <place>": {
      about: "where to keep it; without it where it is, else the keyring, else the file",
      choices: ["keyring", "file"],
    },
  },
  async run(context, { name, in: place }) {
    const { readSecretValue } = await import("../input/secret-question.ts");
    const store = await openSecrets(context);
    const value = await readSecretValue(name, context);
    const change = await store.set(name, value, place, context.signal);
    showResult(context, change, (paint) => [doneLine(paint, `${name} is kept: ${placeName(change.kept)}`)]);
    if (!context.json) await applySecret(context);
  },
});

async function applySecret({ home, note, signal }: CommandContext): Promise<void> {
  const { connectToDaemon } = await import("../../api/client/client.ts");
  // A daemon that hangs, or belongs to another user, is no failure: the secret is kept.
  const daemon = await connectToDaemon(home).catch(() => null);
  if (daemon === null) return;
  const within = AbortSignal.any([signal, AbortSignal.timeout(APPLIED_WITHIN_MS)]);
  const report = await daemon.ask("reload", { secrets: true }, within).catch(() => null);
  if (report?.failure !== null) note("the running daemon takes it with: mountaineer reload");
  else if (report.reloaded) note("the running daemon uses it now");
}

const secretListCommand = command("secret list", {
  summary: "see which secrets are kept, where, and what uses them",
  description:
    "Names only; no value is read. Those that the configuration refers to and nobody keeps are listed, too.",
  examples: {
    "mountaineer secret list": "see them",
    "mountaineer secret list --json | jq -r '.secrets[] | select(.kept == null) | .name'":
      "name those that are still to be set",
  },
  async run(context) {
    const report = await (await openSecrets(context)).list();
    showResult(context, report, () => renderSecrets(report, context.stdoutStyle));
  },
});

const secretRemoveCommand = command("secret remove", {
  summary: "forget a secret",
  description:
    "Removes it from where it is kept. Mounts and backends that use it go on until they are started again.",
  examples: { "mountaineer secret remove nas": "forget it" },
  takes: {
    "<name>": { about: "as secret list shows it", ...NAME_OPTION },
  },
  async run(context, { name }) {
    const change = await (await openSecrets(context)).remove(name, context.signal);
    showResult(context, change, (paint) => [
      doneLine(paint, `${name} is removed: ${placeName(change.kept)}`),
    ]);
  },
});

export const SECRET_COMMANDS: GroupedCommands = {
  group: {
    name: "secret",
    summary: "keep passwords and tokens outside of the configuration",
    description:
      "The configuration names them as secret:NAME; their values are in the keyring or in a private file.",
    examples: {
      "mountaineer secret set nas": "keep one",
      "mountaineer secret list": "see which are kept, and what uses them",
    },
  },
  commands: [secretSetCommand, secretListCommand, secretRemoveCommand],
};

export const serverTokenCommand = command("server-token", {
  summary: "make the token of the management API, for programs and for other machines",
  description:
    "Prints a new token, once: the daemon keeps only its hash. The one before opens nothing any more. It opens the management " +
    "API and the page at the gateway's address, and never /mcp; a client's token for MCP never opens these.",
  examples: {
    "mountaineer server-token > token.txt": "make one, and keep it in a file",
    "mountaineer server-token --remove": "let no token in any more",
  },
  exits: { 8: "no daemon runs" },
  takes: {
    "--remove": "forget the token there is, and make none",
  },
  async run(context, { remove }) {
    const operation = remove ? "forgetToken" : "makeToken";
    const purpose = { intent: "change", so: "so none can take a token" } as const;
    const report = await askDaemon(context, purpose, operation, null);
    showResult(context, report, () => {
      if ("token" in report) return [report.token];
      return [report.forgotten ? "the token opens nothing any more" : "there was no token"];
    });
    if (!context.json && "token" in report && report.replaced)
      context.note("the token before it opens nothing any more");
  },
});
