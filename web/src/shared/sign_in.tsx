// Asks for the API key that the server wants.
import { useId, useState } from "preact/hooks";
import { Dialog } from "./dialog";
import { apiKey, possibleKey, Refusal, send, signInWanted } from "./http";

interface Texts {
  title: string;
  hint: string;
  label: string;
  wrong: string;
  /** Of a key with characters that none can have. */
  impossible: string;
  unreachable: string;
  close: string;
}

/** `probe` is a path that answers 401 to those who may not come in. */
export function SignIn({ texts, probe }: { texts: Texts; probe: string }) {
  const id = useId();
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<string | null>(apiKey.get() ? texts.wrong : null);
  const [busy, setBusy] = useState(false);
  const signIn = async () => {
    if (!possibleKey(key.trim())) return setProblem(texts.impossible);
    setBusy(true);
    setProblem(null);
    try {
      const response = await send("GET", probe, { token: key.trim() });
      await response.body?.cancel();
    } catch (error) {
      // Another refusal than that of the key means that the key is good.
      const status = error instanceof Refusal ? error.status : 0;
      if (status === 0) return setProblem(texts.unreachable);
      if (status === 401) return setProblem(texts.wrong);
    } finally {
      setBusy(false);
    }
    // Told to the watchers even where it is the same key again.
    apiKey.set(null);
    apiKey.set(key.trim());
    signInWanted.set(false);
  };
  return (
    <Dialog title={texts.title} closeLabel={texts.close}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void signIn();
        }}
      >
        <p class="faint">{texts.hint}</p>
        <div class="field">
          <label for={id}>{texts.label}</label>
          <input id={id} type="password" dir="ltr" autocomplete="current-password" autoFocus required value={key} aria-invalid={problem !== null}
            aria-describedby={`${id}-problem`} onInput={({ currentTarget }) => setKey(currentTarget.value)} />
          <div id={`${id}-problem`} class="bad hint" role="alert">{problem}</div>
        </div>
        <div class="dialog-actions">
          <button type="submit" class="primary" disabled={busy || key.trim() === ""}>{texts.title}</button>
        </div>
      </form>
    </Dialog>
  );
}
