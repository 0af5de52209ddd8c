// The users of the configuration, changed over the API: added, renewed and removed; and the end of their accounts.
import type { Control } from "../../api/operations/operations.ts";
import type { BackendSignIn } from "../../api/setup/backend-sign-in.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { openHome } from "../compose/home.ts";
import { openUserChanges } from "./user-changes.ts";

/** How a token is renewed: the one before is accepted for an hour. */
const RENEWAL = { overlapMs: 3_600_000, keepsGrants: false };

interface Parts {
  readonly home: string;
  readonly configPath: string | null;
  readonly signIn: Pick<BackendSignIn, "logout" | "forgetUser">;
  readonly control: Pick<
    Control,
    "people" | "changeGrants" | "edit" | "reload" | "restart" | "status" | "userAccount"
  >;
}

export function createPeopleControl({ home, configPath, signIn, control }: Parts) {
  return {
    async changeUser({ user, to, roles = [] }, asker, rights) {
      // A tab that is closed in the meantime must not leave the accounts of who was removed.
      const signal = to === "removed" ? new AbortController().signal : asker;
      const warnings: string[] = [];
      let publicUrl: string | null = null;
      const changes = openUserChanges({
        ...{ home, configPath, signIn, signal, warn: (text) => void warnings.push(text) },
        async edit(editsFor) {
          const { config, sha256 } = (await openHome({ home, configPath })).snapshot;
          publicUrl = config.server?.publicUrl ?? null;
          const edit = { edits: [...(await editsFor(config))], expected_sha256: sha256, source: "page" };
          const { errors, reload } = await control.edit(edit, signal, rights);
          const faults = [...errors, ...(reload?.errors ?? [])];
          if (faults.length > 0) throw refusalError(faults);
          if (reload !== null && reload.failure !== null)
            warnings.push(`the file is saved, but could not be applied: ${reload.failure}`);
        },
        call: async (name, input) => control[name](input, signal, rights),
        applySecrets: async () => control.reload({ secrets: true }, signal, rights),
      });
      if (to === "removed") await changes.remove(user);
      const made =
        to === "added" ? changes.add(user, roles) : to === "renewed" ? changes.renew(user, RENEWAL) : null;
      const token = (await made)?.token ?? null;
      // Where nothing of ours listens, another program may get the token.
      const url = (await control.status(null, signal, rights)).gateway?.url ?? null;
      return { token, address: url === null ? null : (publicUrl ?? url), warnings };
    },
    async userAccount({ user, backend, end }, asker, rights) {
      if (!end) return control.userAccount({ user, backend, end }, asker, rights);
      const { signal } = new AbortController();
      await signIn.logout(backend, user, signal);
      await control.restart({ backends: [backend], user }, signal, rights);
      return { address: null };
    },
  } satisfies Partial<Control>;
}
