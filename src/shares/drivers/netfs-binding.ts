// Owns the call into macOS's NetFS, which mounts where the user may not make a folder, and may block for minutes: it is
// made in a child process that can be ended. A library with the same ABI stands in for it in tests.
import {
  type CfRef,
  CORE_FOUNDATION_PATH,
  loadCoreFoundation,
} from "../../network/core-foundation-darwin.ts";
import { loadForeignLibrary } from "../../network/foreign-library.ts";

export interface NetfsLibraries {
  readonly coreFoundation: string;
  readonly netfs: string;
}

export const NETFS_LIBRARIES: NetfsLibraries = {
  coreFoundation: CORE_FOUNDATION_PATH,
  netfs: "/System/Library/Frameworks/NetFS.framework/NetFS",
};

export interface NetfsRequest {
  /** Escaped, without a password. */
  readonly url: string;
  /** An existing empty folder to mount on; null: macOS makes one under /Volumes. */
  readonly folder: string | null;
  /** Both, or for a guest neither; without a password macOS looks into the Keychain. */
  readonly username: string | null;
  readonly password: string | null;
  readonly guest: boolean;
}

export interface NetfsAnswer {
  /** 0, or what `meaningOfNetfs` reads. */
  readonly status: number;
  /** Where it is mounted: to be read, never assumed. */
  readonly mountPoints: readonly string[];
}

type MountUrlSync = (
  url: CfRef,
  folder: CfRef | null,
  user: CfRef | null,
  password: CfRef | null,
  openOptions: CfRef,
  mountOptions: CfRef,
  mountPoints: BigUint64Array,
) => number;

/** Rejects when koffi or a library cannot be had. The call blocks this thread. */
export async function loadNetfs(
  libraries: NetfsLibraries = NETFS_LIBRARIES,
): Promise<(request: NetfsRequest) => NetfsAnswer> {
  const cf = await loadCoreFoundation(libraries.coreFoundation);
  const netfs = await loadForeignLibrary(libraries.netfs);
  const mountUrlSync: MountUrlSync = netfs.declare("NetFSMountURLSync", "int", [
    "const void *",
    "const void *",
    "const void *",
    "const void *",
    "void *",
    "void *",
    "void *",
  ]);
  return ({ url, folder, username, password, guest }) =>
    cf.owning((own) => {
      const target = own(cf.url(url));
      if (target === null) throw new Error(`macOS takes ${url} for no URL`);
      const text = (value: string | null): CfRef | null => (value === null ? null : own(cf.string(value)));
      const openOptions = own(
        cf.dictionary({
          // Else a refused password opens a dialog, and the call waits for it.
          UIOption: own(cf.string("NoUI")),
          ...(guest ? { Guest: cf.boolean(true) } : {}),
        }),
      );
      const mountOptions = own(
        cf.dictionary({
          // A dead server ends requests with an error instead of holding programs for ever.
          SoftMount: cf.boolean(true),
          ...(folder === null ? {} : { MountAtMountDir: cf.boolean(true) }),
        }),
      );
      const out = new BigUint64Array(1);
      const status = mountUrlSync(
        target,
        folder === null ? null : own(cf.folderUrl(folder)),
        // A name without a password would keep the Keychain from being asked; the URL names the user then.
        password === null ? null : text(username),
        text(password),
        openOptions,
        mountOptions,
        out,
      );
      const list = own(out[0] === undefined || out[0] === 0n ? null : out[0]);
      const items = list === null ? [] : (cf.itemsOf(list) ?? []);
      return { status, mountPoints: items.map((item) => cf.textOf(item)).filter((path) => path !== null) };
    });
}
