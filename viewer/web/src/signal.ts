// One thing that happens, and those who want to know.

export type Stop = () => void;

export class Signal<T = void> {
  private readonly listeners = new Set<(value: T) => void>();

  on(listener: (value: T) => void): Stop {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(value: T): void {
    for (const listener of [...this.listeners]) listener(value);
  }
}

/** Calls at most once in `gap` milliseconds; the last call is never lost. */
export function throttled(gap: number, action: () => void): () => void {
  let last = -Infinity;
  let timer = 0;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + gap - performance.now());
    timer = window.setTimeout(() => {
      timer = 0;
      last = performance.now();
      action();
    }, wait);
  };
}
