// Requests to the server, and its refusals as errors that people can read.

import { type Bundle, readBundle } from "./bundle";
import type { Answer, Command } from "./messages";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

async function refusal(response: Response): Promise<ApiError> {
  try {
    const { error } = await response.json();
    return new ApiError(response.status, error.title, error.message, error.hint);
  } catch {
    return new ApiError(response.status, `Error ${response.status}`, response.statusText, "");
  }
}

export async function get(path: string, signal?: AbortSignal, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(path, { headers, ...(signal ? { signal } : {}) });
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await get(path, signal)).json();
}

export async function getBundle<Header>(path: string, signal?: AbortSignal): Promise<Bundle<Header>> {
  return readBundle<Header>(await (await get(path, signal)).arrayBuffer());
}

/** A body that is read while it comes. */
export async function getStream(
  path: string,
  signal?: AbortSignal,
  headers: Record<string, string> = {},
): Promise<ReadableStream<Uint8Array>> {
  const response = await get(path, signal, headers);
  if (!response.body) throw new ApiError(0, "Nothing came", path, "");
  return response.body;
}

export async function send(command: Command): Promise<Answer> {
  const response = await fetch("/api/command", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(command),
  });
  if (response.ok || response.status === 409) return response.json();
  throw await refusal(response);
}

export function inWords(error: unknown): string {
  if (error instanceof ApiError) return [error.message, error.hint].filter(Boolean).join(" ");
  return error instanceof Error ? error.message : String(error);
}
