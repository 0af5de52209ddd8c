// A person's own accounts at servers, and the names of the own secrets.
import { type ComponentChild, h } from "preact";
import type { Person } from "../../../api/contract/people.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { App } from "../parts/app.ts";
import { Copyable, code, mark, plainList, WorkButton } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";

export function ownAccounts(
  app: App,
  { name: user, accounts = [], secrets = [] }: Person,
  isOwner: boolean,
  reload: () => unknown,
): ComponentChild {
  if (accounts.length + secrets.length === 0) return null;
  const button = (backend: string, label: string, end: boolean): ComponentChild =>
    h(WorkButton, {
      ...{ key: label, label, accessibleName: `${label}: ${shown(user)} at ${shown(backend)}` },
      run: () => change(app, { user, backend, end }, reload),
    });
  const item = (key: string, ...parts: ComponentChild[]) => h("li", { key, class: "row" }, parts);
  return plainList(
    `Accounts and secrets of ${shown(user)}`,
    accounts.map(({ backend, signed_in: isIn, account }) => {
      const signedIn = account === null ? "signed in" : `signed in as ${account}`;
      const state = isIn === null ? "not known" : isIn ? signedIn : "not signed in";
      const end = isIn !== false && button(backend, "Sign out …", true);
      const buttons = isOwner && [button(backend, "Sign-in address …", false), end];
      return item(
        backend,
        h("strong", {}, shown(backend)),
        mark(isIn === true ? "good" : "plain", state),
        buttons,
      );
    }),
    secrets.map(({ name, is_stored: isStored }) => {
      const state = isStored === null ? "not known" : isStored ? "stored" : "missing";
      const text = shellCommand`mountaineer users secret set ${user} ${name}`;
      const isGood = isStored === true;
      return item(
        `secret ${name}`,
        h("span", {}, "Secret ", code(name)),
        mark(isGood ? "good" : "warning", state),
        isGood ? null : h(Copyable, { text }),
      );
    }),
  );
}

async function change(
  app: App,
  account: { readonly user: string; readonly backend: string; readonly end: boolean },
  reload: () => unknown,
): Promise<void> {
  const where = `${shown(account.user)} at ${shown(account.backend)}`;
  const about = "The tokens are forgotten here, and revoked there if the server can.";
  const question = {
    title: `Sign out ${where}?`,
    body: h("p", {}, about),
    action: "Sign out",
    destroys: true,
  };
  if (account.end && !(await app.confirm(question))) return;
  await app.attempt(`The account of ${where}`, async () => {
    const { address } = await app.requests.call("userAccount", account);
    if (address === null) app.notify("good", `${where} is signed out`);
    else
      await app.confirm({
        title: `Sign in: ${where}`,
        body: [
          h("p", {}, h(Copyable, { text: address })),
          h("p", {}, "Works once, for ten minutes, and only with this user's newest token."),
        ],
        ...{ action: "Close", isNotice: true },
      });
    await reload();
  });
}
