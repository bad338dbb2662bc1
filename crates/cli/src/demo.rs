//! `tenantry demo`: two tenants, one template, real runs, live.

use crate::offline::Surroundings;
use crate::output::{Ended, News, Trouble};
use ::demo::{Options, play};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// How the demonstration is given.
#[derive(Args)]
pub struct DemoArguments {
    /// End after the demonstration instead of serving on.
    #[arg(long)]
    exit: bool,
    /// Keep data, log and exports in this folder; a temporary one where absent.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; a free port with `--exit`, else 127.0.0.1:7070.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The base URL of an OpenAI-compatible server whose model is to classify.
    #[arg(long, value_name = "URL", requires = "model")]
    model_url: Option<OsString>,
    /// The file that holds the key for it.
    #[arg(long, value_name = "FILE", requires = "model_url")]
    model_key_file: Option<OsString>,
    /// The model's name there.
    #[arg(long, value_name = "NAME", requires = "model_url")]
    model: Option<String>,
}

pub(crate) async fn run(arguments: DemoArguments, around: &Surroundings) -> Ended {
    let DemoArguments { exit, data, listen, model_url, model_key_file, model } = arguments;
    let mut further = Vec::new();
    let named = model.clone().map(OsString::from);
    for (name, value) in
        [("--model-url", model_url), ("--model-key-file", model_key_file), ("--model", named)]
    {
        further.extend(value.into_iter().flat_map(|value| [OsString::from(name), value]));
    }
    let default = if exit { "127.0.0.1:0" } else { "127.0.0.1:7070" };
    let options = Options {
        program: std::env::current_exe()?,
        folder: data,
        listen: listen.unwrap_or_else(|| default.to_owned()),
        exit,
        model: model.unwrap_or_else(|| "offline".to_owned()),
        arguments: further,
        env: around.env.clone(),
    };
    let good = play(options).await.map_err(Trouble::other)?;
    Ok(if good { News::Good } else { News::Bad })
}
