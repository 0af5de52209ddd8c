// The commands about people: `users`, and `access`.
import { MountaineerError } from "../../runtime/errors.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

const USER = { about: "the user's name" } as const;
const HOUR_MS = 3_600_000;

const usersAddCommand = command("users add", {
  summary: "add a user, with a token",
  description:
    "Prints the token, once, and what the user may do. With the first user each client needs a token, so it asks if some are connected without.",
  examples: { "mountaineer users add ann --role dev": "a user with the role dev" },
  exits: { 1: "you said no; nothing was changed", 2: "there is a user of that name" },
  takes: {
    "<name>": USER,
    "--role <name>": { about: "a role of the user; repeatable", isList: true },
    "-y, --yes": "do not ask",
  },
  async run(context, { name, role, yes }) {
    const { accessOf, addUser } = await import("../edits/user-change.ts");
    const added = await addUser(context, name, role, yes);
    if (added === null) return FAILED_EXIT;
    const { renderAccess } = await import("../views/people-view.ts");
    const people = await accessOf(context, name);
    showResult(context, { user: name, secret: added.secret }, (paint) => [
      doneLine(paint, `${name} is added. Hand this over:`),
      ...added.lines.map((line) => `    ${line}`),
      ...people.map((person) => renderAccess(person, context.stdoutStyle, null).trimEnd()),
    ]);
    return 0;
  },
});

const usersListCommand = command("users list", {
  takesUrl: true,
  summary: "list the users",
  description:
    "Each with its roles, sign-in, when it was last heard, and how many programs act for it; people of an issuer once they were here.",
  examples: { "mountaineer users list": "see them" },
  async run(context) {
    const { renderPeople, rulesLines } = await import("../views/people-view.ts");
    const report = await show(context, "people", {});
    showResult(context, report, () => [
      ...rulesLines(report),
      renderPeople(report.people, context.stdoutStyle, Date.now()).trimEnd(),
    ]);
    if (report.people.length === 0)
      context.notify("no user is configured: everyone on this machine is let in");
  },
});

const usersRenewCommand = command("users renew", {
  summary: "give a user a new token",
  description:
    "Programs that the old token let in lose their access with it, unless --keep-grants is given. Those that you let in stay. A token before the old one ends at once.",
  examples: { "mountaineer users renew ann --overlap 24": "with a day to change over" },
  exits: { 2: "there is no such user, or the token is a variable" },
  takes: {
    "<name>": USER,
    "--overlap <hours>": {
      about: "how long the old token is still accepted (default: 1; 0: it ends at once)",
      read: (text: string) => (/^\d{1,3}(\.\d+)?$/.test(text) ? Number(text) * HOUR_MS : null),
      expected: "a number of hours",
      otherwise: HOUR_MS,
    },
    "--keep-grants": "programs that act for the user stay, as if you had let them in",
  },
  async run(context, { name, overlap, keepGrants }) {
    const { renewUser } = await import("../edits/user-change.ts");
    const { secret, lines } = await renewUser(context, name, { overlapMs: overlap, keepsGrants: keepGrants });
    showResult(context, { user: name, secret }, (paint) => [
      doneLine(paint, `${name} has a new token:`),
      ...lines.map((line) => `    ${line}`),
    ]);
  },
});

const usersRemoveCommand = command("users remove", {
  summary: "remove a user",
  description: "The user's sessions and programs lose access at once.",
  examples: { "mountaineer users remove ann": "remove one" },
  exits: { 2: "there is no such user, or no other" },
  takes: { "<name>": USER },
  async run(context, { name }) {
    const { removeUser } = await import("../edits/user-change.ts");
    await removeUser(context, name);
    showResult(context, { user: name }, (paint) => [doneLine(paint, `${name} is removed`)]);
  },
});

const usersSecretSetCommand = command("users secret set", {
  summary: "store a user's own secret, for ${user:NAME} in the configuration",
  description: "Typed, or from standard input. It ends with the user's entry.",
  examples: {
    "mountaineer users secret set ben github": "store Ben's",
  },
  takes: {
    "<who>": { about: "the user; with --owner, the NAME" },
    "[name]": "the NAME",
    "--owner": "your own",
  },
  async run(context, { who, name: second, owner }) {
    const [user, name] = owner ? [null, who] : [who, second];
    if (name === null || (owner && second !== null) || !SECRET_NAME.form.test(name))
      throw new MountaineerError("usage", "the name of the secret is missing or invalid", {
        hint: `mountaineer users secret set USER NAME, or --owner NAME; a name has ${SECRET_NAME.expected}`,
      });
    const { openUserSecrets } = await import("../in-process/open.ts");
    const { readSecretValue } = await import("../input/secret-question.ts");
    const { applySecret } = await import("../sessions/apply-secret.ts");
    const secrets = await openUserSecrets(context);
    if (user !== null) await secrets.ownerOf(user, context.signal);
    await secrets.set(user, name, await readSecretValue(name, context), context.signal);
    showResult(context, { user, name }, (paint) => [
      doneLine(paint, `${name} of ${user ?? "the owner"} is stored`),
    ]);
    if (!context.json) await applySecret(context, "the running daemon uses it now");
  },
});

export const USERS_SECRET_COMMANDS: GroupedCommands = {
  group: {
    name: "users secret",
    summary: "the users' own secrets",
    description: 'For servers with accounts = "each".',
    examples: { "mountaineer users secret set ben github": "store Ben's" },
  },
  commands: [usersSecretSetCommand],
};

export const USERS_COMMANDS: GroupedCommands = {
  group: {
    name: "users",
    summary: "the people who may use the gateway",
    description: "Users of the configuration, each with a token and roles.",
    examples: {
      "mountaineer users add ann --role dev": "add one",
      "mountaineer users list": "see them",
    },
  },
  commands: [usersAddCommand, usersListCommand, usersRenewCommand, usersRemoveCommand],
};

export const accessCommand = command("access", {
  takesUrl: true,
  summary: "show what a user may do with each server, and by which rule",
  description:
    "By the rules in use. People of an issuer are sub:SUBJECT, with the claims of their newest token. Without a daemon it uses the file and the last lists.",
  examples: {
    "mountaineer access ben": "what may Ben do?",
    "mountaineer access ben --tool delete_file": "may he delete files?",
    "mountaineer access --role dev": "a user with only this role",
  },
  exits: { 2: "there is no such user" },
  takes: {
    "[user]": { about: "a user, or sub:SUBJECT; without one, all" },
    "--tool <name>": "only this tool",
    "--role <name>": "in place of a user, a user with only this role",
  },
  async run(context, { user, tool, role }) {
    const { renderAccess, rulesLines } = await import("../views/people-view.ts");
    const report = await show(context, "people", {
      ...(user !== null && { user }),
      ...(role !== null && { role }),
    });
    if (user !== null && report.people.length === 0)
      throw new MountaineerError("usage", `there is no user ${user}`, {
        hint: "mountaineer users list shows them",
      });
    showResult(context, report, () => [
      ...rulesLines(report),
      ...report.people.map((person) => renderAccess(person, context.stdoutStyle, tool).trimEnd()),
      ...(report.unmatched ?? []).map(printable),
    ]);
  },
});
