// Disposes resources once, in reverse order. A failure does not skip the rest.

type Disposer = () => void | PromiseLike<void>;

export interface DisposalStack extends AsyncDisposable {
  /** True from the start of the disposal on. */
  readonly disposed: boolean;
  /** Registers a disposer. After the start of the disposal, runs it at once. */
  defer(disposer: Disposer): void;
  /** Registers a disposable and returns it. */
  use<T extends Disposable | AsyncDisposable>(resource: T): T;
}

/** `onFailure` is called for each disposer that fails; the disposal itself never rejects. */
export function createDisposalStack(onFailure: (error: unknown) => void): DisposalStack {
  const disposers: Disposer[] = [];
  let ending: Promise<void> | null = null;
  const run = async (disposer: Disposer): Promise<void> => {
    try {
      await disposer();
    } catch (error) {
      onFailure(error);
    }
  };
  const end = async (): Promise<void> => {
    for (let disposer = disposers.pop(); disposer !== undefined; disposer = disposers.pop()) {
      await run(disposer);
    }
  };
  return {
    get disposed() {
      return ending !== null;
    },
    defer(disposer) {
      if (ending === null) disposers.push(disposer);
      else void run(disposer);
    },
    use(resource) {
      this.defer(() =>
        Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
      );
      return resource;
    },
    [Symbol.asyncDispose]() {
      ending ??= end();
      return ending;
    },
  };
}
