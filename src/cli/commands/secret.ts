// The commands `mountaineer secret ...` and `mountaineer server-token`.

import type { OutputOf } from "../../api/operations/operations.ts";
import { storedNames } from "../../api/setup/home-secrets.ts";
import { takeReady } from "../../api/setup/waiting-servers.ts";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import { command, type GroupedCommands, type Terminal } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { applySecret } from "../sessions/apply-secret.ts";
import { callDaemon } from "../sessions/control-session.ts";
import { renderSecrets, storageName } from "../views/secret-view.ts";

const ON_REMOTE = { intent: "change", so: "so nothing is stored there" } as const;

const NAME_OPTION = {
  read: (text: string) => (SECRET_NAME.form.test(text) ? text : null),
  expected: SECRET_NAME.expected,
} as const;

const secretSetCommand = command("secret set", {
  summary: "store a password or token, for secret:NAME in the configuration",
  description:
    "Asks for the value, or reads standard input or a file; it is never an argument. A running daemon uses it at once, and enables servers that import switched off for lack of it. With --url that machine needs server.management.allow_commands.",
  takesUrl: true,
  examples: {
    "mountaineer secret set nas": "store the password for secret:nas",
    "mountaineer secret set token --in file < token.txt": "store a file's content, in this home",
    "mountaineer secret set key --file key.pem": "store a private key, with all its lines",
  },
  takes: {
    "<name>": { about: "the NAME in secret:NAME", ...NAME_OPTION },
    "--in <place>": {
      about: "where to store it; default: where it is now, else the keyring, else the file",
      choices: ["keyring", "file"],
    },
    "--file <path>": "the file that has the value",
  },
  async run(context, { name, in: storage, file }) {
    const { readSecretValue } = await import("../input/secret-question.ts");
    if (context.remote !== null && storage !== null)
      throw new MountaineerError("usage", "with --url, that machine chooses where it is stored");
    if (context.remote !== null)
      return showRemote(
        context,
        "stored",
        await callDaemon(context, ON_REMOTE, "setSecret", {
          name,
          value: await readSecretValue(name, context, file),
        }),
      );
    const store = await openSecrets(context);
    const value = await readSecretValue(name, context, file);
    const change = await store.set(name, value, storage, context.signal);
    showResult(context, change, (paint) => [
      doneLine(
        paint,
        `${name} is stored: ${storageName(change.kept)}${change.replaced ? ", in place of an older value" : ""}`,
      ),
      ...(change.reason === undefined ? [] : [`  ${change.reason}\n`]),
    ]);
    if (!context.json) await applySecret(context, "the running daemon uses it now");
    for (const server of await takeReady(context.home, storedNames(await store.list()))) {
      const { enableBackend } = await import("../edits/backend-change.ts");
      const enabled = enableBackend(context, server, true, { waitMs: 0 });
      const isEnabled = await enabled.then(
        () => true,
        recoverFrom((error) => error instanceof MountaineerError, false),
      );
      if (isEnabled) context.notify(`${server} is enabled: it waited only for this secret`);
    }
  },
});

function showRemote(context: Terminal, done: string, change: OutputOf<"setSecret">): undefined {
  showResult(context, change, (paint) => [
    doneLine(paint, `${change.name} is ${done} there: ${storageName(change.kept)}`),
  ]);
}

const secretListCommand = command("secret list", {
  summary: "list the stored secrets, where they are, and what uses them",
  description: "Reads no value. Also lists what the configuration names and is not stored.",
  examples: {
    "mountaineer secret list": "see them",
    "mountaineer secret list --json | jq -r '.secrets[] | select(.kept == null) | .name'":
      "list those that are still missing",
  },
  async run(context) {
    const report = await (await openSecrets(context)).list();
    showResult(context, report, () => renderSecrets(report, context.stdoutStyle));
  },
});

const secretRemoveCommand = command("secret remove", {
  summary: "delete a secret",
  description: "A client's token ends at once; mounts and servers that use it run on until their next start.",
  takesUrl: true,
  examples: { "mountaineer secret remove nas": "forget it" },
  takes: {
    "<name>": { about: "as secret list shows it", ...NAME_OPTION },
  },
  async run(context, { name }) {
    if (context.remote !== null)
      return showRemote(context, "removed", await callDaemon(context, ON_REMOTE, "removeSecret", { name }));
    const store = await openSecrets(context);
    const change = await store.remove(name, context.signal);
    showResult(context, change, (paint) => [
      doneLine(paint, `${name} is removed: ${storageName(change.kept)}`),
    ]);
    if (context.json) return;
    await applySecret(context, "clients can no longer sign in with it");
    const users = (await store.list()).secrets.find((secret) => secret.name === name)?.used_by ?? [];
    if (users.length > 0)
      context.notify(
        `the configuration still refers to it (${users.join(", ")}); ${shellCommand`mountaineer secret set ${name}`} stores a new value`,
      );
  },
});

export const SECRET_COMMANDS: GroupedCommands = {
  group: {
    name: "secret",
    summary: "keep passwords and tokens outside of the configuration",
    description: "The configuration names them as secret:NAME; values are in the keyring or a private file.",
    examples: {
      "mountaineer secret set nas": "keep one",
      "mountaineer secret list": "see which are stored, and what uses them",
    },
  },
  commands: [secretSetCommand, secretListCommand, secretRemoveCommand],
};

export const serverTokenCommand = command("server-token", {
  summary: "create the management API's token, for programs and other machines",
  description:
    "Prints a new token, once; the previous one stops working. It opens the management API and the page, not /mcp.",
  examples: {
    "mountaineer server-token > token.txt": "create one, and keep it in a file",
    "mountaineer server-token --remove": "revoke the token",
  },
  exits: { 8: "no daemon runs" },
  takes: {
    "--remove": "revoke the token, and create none",
  },
  async run(context, { remove }) {
    const operation = remove ? "forgetToken" : "makeToken";
    const purpose = { intent: "change", so: "so none can take a token" } as const;
    const report = await callDaemon(context, purpose, operation, null);
    showResult(context, report, () => {
      if ("token" in report) return [report.token];
      return [report.forgotten ? "the token is no longer valid" : "there was no token"];
    });
    if (!context.json && "token" in report && report.replaced)
      context.notify("the previous token is no longer valid");
  },
});
