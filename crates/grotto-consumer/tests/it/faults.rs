//! An object store that counts what it is asked, and misbehaves on command.

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use grotto_store::Store;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What gets and puts of matching paths meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An outage.
    Fails,
    /// A defect of the client.
    Panics,
    /// No answer at all.
    Hangs,
}

/// What happens with the next get of a path that contains a text.
type Incident = (String, Box<dyn FnOnce() + Send>);

/// A store behind faults.
pub(crate) struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    /// How long an answer takes.
    delay: Duration,
    fault: Mutex<Option<(Fault, String)>>,
    incident: Mutex<Option<Incident>>,
    /// What listings do not show: paths that contain this.
    hidden: Mutex<Option<String>>,
    /// Paths of gets; `LIST` and the prefix, `PUT` and `DELETE` and the path for others.
    asked: Arc<Mutex<Vec<String>>>,
}

impl FaultStore {
    pub(crate) fn new(folder: &std::path::Path) -> Arc<Self> {
        let folder = LocalFileSystem::new_with_prefix(folder).unwrap();
        Self::around(Arc::new(folder), Duration::ZERO)
    }

    pub(crate) fn around(inner: Arc<dyn ObjectStore>, delay: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner,
            delay,
            fault: Mutex::default(),
            incident: Mutex::default(),
            hidden: Mutex::default(),
            asked: Arc::default(),
        })
    }

    pub(crate) fn store(self: &Arc<Self>) -> Store {
        Store::from_object_store(Arc::clone(self) as Arc<dyn ObjectStore>)
    }

    /// From now on gets, puts, and outages of listings, of paths that contain `part` meet this fault.
    pub(crate) fn cause(&self, fault: Fault, part: &str) {
        *self.fault.lock().unwrap() = Some((fault, part.to_owned()));
    }

    pub(crate) fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// From now on listings do not show paths that contain `part`, as those of what was written just now.
    pub(crate) fn hide(&self, part: &str) {
        *self.hidden.lock().unwrap() = Some(part.to_owned());
    }

    /// Has something happen before the next get of a path that contains `part` is answered.
    pub(crate) fn upon(&self, part: &str, happens: impl FnOnce() + Send + 'static) {
        *self.incident.lock().unwrap() = Some((part.to_owned(), Box::new(happens)));
    }

    /// What was asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// How many requests since the last [`Self::take_asked`] were for something with this in its name.
    pub(crate) fn asked(&self, part: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.contains(part)).count()
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn meet_incident(&self, location: &Path) {
        let mut incident = self.incident.lock().unwrap();
        let met = incident.take_if(|(part, _)| location.as_ref().contains(part.as_str()));
        drop(incident);
        if let Some((_, happens)) = met {
            happens();
        }
    }

    async fn meet_fault(&self, location: &Path) -> Result<()> {
        match self.fault_at(location) {
            Some(Fault::Fails) => Err(outage()),
            Some(Fault::Panics) => panic!("scripted panic"),
            Some(Fault::Hangs) => std::future::pending().await,
            None => Ok(()),
        }
    }

    fn fault_at(&self, location: &Path) -> Option<Fault> {
        let fault = self.fault.lock().unwrap();
        let (fault, part) = fault.as_ref()?;
        location.as_ref().contains(part).then_some(*fault)
    }
}

fn outage() -> Error {
    Error::Generic {
        store: "FaultStore",
        source: "scripted outage".into(),
    }
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.note(format!("PUT {location}"));
        self.meet_fault(location).await?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(location.to_string());
        wait(self.delay).await;
        self.meet_incident(location);
        self.meet_fault(location).await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let asked = Arc::clone(&self.asked);
        let noted = locations.inspect(move |location| {
            let location = location.as_ref().map_or("", Path::as_ref);
            asked.lock().unwrap().push(format!("DELETE {location}"));
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let what = format!("LIST {}", prefix.map_or("", Path::as_ref));
        let fault = prefix.and_then(|prefix| self.fault_at(prefix));
        let (delay, listed) = (self.delay, self.inner.list(prefix));
        let hidden = self.hidden.lock().unwrap().clone();
        let is_shown = move |found: &Result<ObjectMeta>| {
            let path = found.as_ref().map_or("", |meta| meta.location.as_ref());
            !hidden.as_ref().is_some_and(|part| path.contains(part))
        };
        let listed = listed
            .filter(move |found| std::future::ready(is_shown(found)))
            .boxed();
        let asked = Arc::clone(&self.asked);
        let late = async move {
            // Only now: a listing that nobody waits for is never asked for.
            asked.lock().unwrap().push(what);
            wait(delay).await;
            match fault {
                Some(Fault::Fails) => futures::stream::iter([Err(outage())]).boxed(),
                _ => listed,
            }
        };
        late.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
